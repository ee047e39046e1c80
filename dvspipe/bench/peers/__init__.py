"""Other libraries' neurons behind one interface, one file per library; each is optional."""
