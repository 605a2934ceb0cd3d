//! What a foreign function gives back.

use std::borrow::Cow;

use crate::call_end::CallError;

/// The bytes that the guest gets, or the status.
pub(crate) type Outcome = Result<Cow<'static, [u8]>, CallError>;
