"""What memprof found out, frozen, with JSON: renderers and pictures are functions of these records."""
