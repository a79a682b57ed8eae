"""What things are: frozen values, ids, states, Actions, Events and the Backend protocol. Standard library only."""
