"""Taking identities away (PS3.15 Annex E), so that what is left still hangs together."""
