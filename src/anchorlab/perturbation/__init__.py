"""Is a weight perturbation adversarial? Its size, its effect on the function, the basin, curvature, geometry, bounds.

``analyze`` measures tables. Each table is a record in ``tables/``: what it holds, how it is measured, what can be read
off it. ``parts`` measures and remembers, ``context`` holds what the parts share.
"""
