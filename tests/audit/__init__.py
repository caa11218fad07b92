"""What the environment is made of: known vulnerabilities, licences, and whether all pins fit together."""
