"""One pull of a camera, many readers: see DESIGN.md."""
