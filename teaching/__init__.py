"""Handing out the notebook, running what comes back, and giving marks; README.md is the path of a semester."""
