"""What every page stands in: the visit, the template, the two languages, names, assets and drawn charts."""
