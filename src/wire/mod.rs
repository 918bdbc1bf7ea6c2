//! Bytes of the outside world: remote write, exposition formats, compression. Decoders borrow, encoders append.
