//! Several threads in one isolate.
