//! From a sample and what its series has learned to a score and the band that was expected.
