"""What content may be recorded, how it is cleaned and bounded, and the JSON it becomes."""
