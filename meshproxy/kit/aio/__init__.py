"""Small tools that touch the event loop; open to everything from `proxy` up."""
