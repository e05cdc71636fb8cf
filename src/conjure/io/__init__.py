"""Files, tables, the screen and its bars: what comes in and what goes out."""
