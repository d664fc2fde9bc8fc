"""The parts of `data-manager chaos`: what is done to a demo, when, to whom, and whether it got over it."""
