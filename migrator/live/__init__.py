"""A lake that is in use while it is copied. ``generation``: the same plan, made anew from the lake as it is now;
``quiet``: waits until nobody writes any more."""
