//! What a filter does with a message's body, as types: `type RequestBody = Buffered<65536>`.

/// The filter does not look at the body: it streams by. The default.
#[derive(Clone, Copy, Debug)]
pub enum Unread {}

/// The filter sees the body piece by piece; what it has seen streams on.
#[derive(Clone, Copy, Debug)]
pub enum Chunks {}

/// The filter sees the body as a whole, up to so many bytes. A longer one is refused: a request with 413, a response with
/// 500 where that can still be told.
#[derive(Clone, Copy, Debug)]
pub enum Buffered<const LIMIT: usize> {}

/// One of [`Unread`], [`Chunks`] and [`Buffered`].
pub trait BodyMode: sealed::Sealed + 'static {}

/// A mode in which the body is read.
pub trait ReadMode: BodyMode {}

impl BodyMode for Unread {}
impl BodyMode for Chunks {}
impl ReadMode for Chunks {}
impl<const LIMIT: usize> BodyMode for Buffered<LIMIT> {}
impl<const LIMIT: usize> ReadMode for Buffered<LIMIT> {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Unread {}
    impl Sealed for super::Chunks {}
    impl<const LIMIT: usize> Sealed for super::Buffered<LIMIT> {}
}
