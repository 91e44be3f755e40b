"""How a net is compressed: ADMM's variables and updates, and the masks that keep the zeros."""
