"""What leaves the house about labs: shortlists for a company, a lab's dossier, as files, mail drafts and links."""
