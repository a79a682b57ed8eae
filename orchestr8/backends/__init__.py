"""What carries out Actions: this machine (`native`), or a model of it for tests (`memory`). Both pass one contract."""
