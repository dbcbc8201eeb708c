//! Compiled frames on native stacks.

/// A collector-managed place, as reported to the host's collector, which may write it.
pub enum RootWord<'a> {
    /// An object pointer, never null in a valid frame unless the host's own objects say so.
    Ref(&'a mut u64),
    /// A boxed value: one word in word encoding, tag and payload in pair encoding.
    Any(&'a mut [u64]),
}
