"""One trace for people to look at: as text, as a picture, as plain HTML."""
