"""The commands, one module each, named as they are typed; `reconcile` is a part of `events`."""
