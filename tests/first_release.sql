-- A database as the first release made it on SQLite and PostgreSQL, with rows in every table; never to be changed.

CREATE TABLE school (
    id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    name_en VARCHAR NOT NULL,
    city VARCHAR NOT NULL,
    region VARCHAR,
    prominence VARCHAR,
    kind VARCHAR NOT NULL,
    founded INTEGER,
    merged_into VARCHAR,
    merged_on DATE,
    PRIMARY KEY (id),
    CONSTRAINT id_bounded CHECK (length(id) BETWEEN 1 AND 200),
    CONSTRAINT region_known CHECK (region IN ('north', 'central', 'south', 'east', 'islands')),
    CONSTRAINT prominence_known CHECK (prominence IN ('high', 'medium', 'low')),
    CONSTRAINT founded_plausible CHECK (founded BETWEEN 1800 AND 2200)
);

CREATE TABLE alliance (
    id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    name_en VARCHAR NOT NULL,
    fields JSON NOT NULL,
    kind VARCHAR,
    center VARCHAR,
    since DATE,
    until DATE,
    PRIMARY KEY (id),
    CONSTRAINT id_bounded CHECK (length(id) BETWEEN 1 AND 200),
    CONSTRAINT kind_known CHECK (kind IN ('regional', 'theme')),
    CONSTRAINT until_after_since CHECK (until >= since)
);

CREATE TABLE lab (
    id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    name_en VARCHAR NOT NULL,
    pi VARCHAR NOT NULL,
    school VARCHAR,
    fields JSON NOT NULL,
    summary VARCHAR NOT NULL,
    summary_en VARCHAR NOT NULL,
    keywords JSON NOT NULL,
    offers JSON NOT NULL,
    will_not_do JSON NOT NULL,
    capacity INTEGER,
    languages JSON NOT NULL,
    conflicts JSON NOT NULL,
    links JSON NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT id_bounded CHECK (length(id) BETWEEN 1 AND 200),
    CONSTRAINT capacity_not_negative CHECK (capacity >= 0)
);

CREATE INDEX ix_lab_school ON lab (school);

CREATE TABLE company (
    id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    name_en VARCHAR NOT NULL,
    tax_id VARCHAR,
    country VARCHAR NOT NULL,
    size VARCHAR,
    tier VARCHAR NOT NULL,
    fields JSON NOT NULL,
    city VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT id_bounded CHECK (length(id) BETWEEN 1 AND 200),
    CONSTRAINT tier_known CHECK (tier IN ('none', 'domestic', 'international', 'gold')),
    CONSTRAINT size_known CHECK (size IN ('micro', 'small', 'medium', 'large')),
    CONSTRAINT country_two_letters CHECK (length(country) = 2)
);

CREATE INDEX ix_company_tax_id ON company (tax_id);

CREATE TABLE need (
    id VARCHAR NOT NULL,
    company VARCHAR,
    school VARCHAR,
    title VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    fields JSON NOT NULL,
    budget_ntd BIGINT,
    deadline DATE,
    confidentiality VARCHAR NOT NULL,
    region VARCHAR,
    languages JSON NOT NULL,
    excluded_labs JSON NOT NULL,
    year INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT id_bounded CHECK (length(id) BETWEEN 1 AND 200),
    CONSTRAINT confidentiality_known CHECK (confidentiality IN ('public', 'alliance', 'confidential')),
    CONSTRAINT region_known CHECK (region IN ('north', 'central', 'south', 'east', 'islands')),
    CONSTRAINT year_plausible CHECK (year BETWEEN 1800 AND 2200),
    CONSTRAINT budget_not_negative CHECK (budget_ntd >= 0),
    CONSTRAINT says_something CHECK (length(title) + length(description) > 0)
);

CREATE INDEX ix_need_company ON need (company);

CREATE TABLE alliance_partner (
    alliance_id VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    school VARCHAR NOT NULL,
    since DATE,
    until DATE,
    PRIMARY KEY (alliance_id, position),
    CONSTRAINT until_after_since CHECK (until >= since),
    FOREIGN KEY(alliance_id) REFERENCES alliance (id) ON DELETE CASCADE
);

CREATE INDEX ix_alliance_partner_school ON alliance_partner (school);

CREATE TABLE evidence (
    lab_id VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    abstract VARCHAR NOT NULL,
    year INTEGER,
    weight FLOAT NOT NULL,
    PRIMARY KEY (lab_id, id),
    CONSTRAINT id_bounded CHECK (length(id) BETWEEN 1 AND 220),
    CONSTRAINT kind_known CHECK (kind IN ('paper', 'patent', 'project', 'technology', 'thesis')),
    CONSTRAINT year_plausible CHECK (year BETWEEN 1800 AND 2200),
    CONSTRAINT weight_bounded CHECK (weight BETWEEN 0 AND 10),
    FOREIGN KEY(lab_id) REFERENCES lab (id) ON DELETE CASCADE
);

CREATE TABLE ask (
    need_id VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    PRIMARY KEY (need_id, position),
    CONSTRAINT kind_known CHECK (kind IN ('technology', 'talent', 'facility', 'licensing', 'training', 'investment')),
    FOREIGN KEY(need_id) REFERENCES need (id) ON DELETE CASCADE
);

INSERT INTO school VALUES ('sch-1', '合歡大學', 'Hehuan University', '台中', 'central', 'high', 'public', 1946, NULL, NULL);
INSERT INTO school VALUES ('sch-2', '霧社技術學院', '', '', NULL, NULL, '', NULL, 'sch-1', '2019-08-01');

INSERT INTO alliance VALUES ('al-1', '中部聯盟', 'Central Alliance', '["agriculture"]', 'regional', 'sch-1', '2024-01-01', NULL);

INSERT INTO alliance_partner VALUES ('al-1', 1, 'sch-2', '2024-01-01', '2025-06-30');

INSERT INTO lab VALUES ('lab-frost', '霜害監測室', 'Frost Watch', '葉青', 'sch-1', '[]', '茶園霜害預警', 'It''s frost', '["霜", "tea"]', '[]', '[]', NULL, '["zh"]', '[]', '[]');
INSERT INTO lab VALUES ('lab-kiln', 'Kiln Emissions Group', '', '', NULL, '[]', '', '', '[]', '[]', '[]', 0, '[]', '["Lab \"Q\""]', '[]');

INSERT INTO evidence VALUES ('lab-frost', 'f-2', 1, 'paper', 'Dew point forecast for tea terraces', '', 2021, 1.0);
INSERT INTO evidence VALUES ('lab-frost', 'f-1', 2, 'patent', '防霜風扇控制器', '', NULL, 2.5);

INSERT INTO company VALUES ('co-1', '霧社茶業', '', '00000016', 'TW', 'small', 'gold', '[]', '', '');

INSERT INTO need VALUES ('need-1', 'co-1', NULL, '茶園霜害預警', '', '[]', 9000000000, '2026-06-30', 'confidential', NULL, '[]', '["lab-kiln"]', 2026);

INSERT INTO ask VALUES ('need-1', 1, 'technology', '前一晚就知道');
