"""Leukemia detection in blood-smear cells, evaluated on patients that the model has never seen."""

from oadls.settings import register_resolvers

register_resolvers()
