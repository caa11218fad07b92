"""The whole surface of a host with all its plugins, attacked: whatever is sent, it is answered for and goes on."""
