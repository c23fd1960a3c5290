"""What all tests share: property tests are never judged by the clock of a busy machine."""

from hypothesis import settings

settings.register_profile("stayby", settings(), deadline=None)
settings.load_profile("stayby")
