"""What the program of tests/parabola.py imports: done once, before it is forked."""

import hydra  # noqa: F401
from hydra.core.plugins import Plugins

import oadls.sweep.member
import oadls.sweep.sampler
import oadls.sweep.study  # noqa: F401

Plugins.instance()
