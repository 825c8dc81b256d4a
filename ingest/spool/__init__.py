"""The spool: where everything that comes in is made safe before anybody is told so."""
