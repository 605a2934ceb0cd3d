//! What of a request head may be treated in more than one way.

/// How request heads are made canonical. The default is the safest; each part can be switched for a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadRules {
    /// What becomes of `//` in a path.
    pub slashes: Slashes,
    /// What becomes of `%2F` and `%5C` in a path.
    pub escaped_slashes: EscapedSlashes,
    /// What becomes of `\\` in a path.
    pub backslashes: Backslashes,
    /// What becomes of header names with an underscore.
    pub underscores: Underscores,
}

/// What becomes of `//`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slashes {
    /// One slash.
    Merged,
    /// It stays.
    Kept,
}

/// What becomes of `%2F` and `%5C`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// 400.
    Refused,
    /// It stays; a dot segment beside it, as in `..%2F`, is 400 still.
    Kept,
}

/// What becomes of `\`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backslashes {
    /// 400.
    Refused,
    /// A slash.
    ToSlash,
}

/// What becomes of a request whose header names have an underscore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Underscores {
    /// 400: behind the gateway `a_b` and `a-b` are often one name.
    Refused,
    /// It is served.
    Allowed,
}

impl Default for HeadRules {
    fn default() -> Self {
        Self::SAFEST
    }
}

impl HeadRules {
    /// What can be read in two ways is refused or brought into one form.
    pub const SAFEST: HeadRules = HeadRules {
        slashes: Slashes::Merged,
        escaped_slashes: EscapedSlashes::Refused,
        backslashes: Backslashes::Refused,
        underscores: Underscores::Refused,
    };

    /// Istio's: BASE normalisation of paths, underscores allowed (`--compat istio`).
    pub const ISTIO: HeadRules = HeadRules {
        slashes: Slashes::Kept,
        escaped_slashes: EscapedSlashes::Kept,
        backslashes: Backslashes::ToSlash,
        underscores: Underscores::Allowed,
    };
}
