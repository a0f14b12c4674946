"""Picture health: what a camera's key frames say about its lens, its mount and its sensor. See DESIGN.md."""
