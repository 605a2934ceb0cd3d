//! What an implementation of `Filter` says, in words.

/// What the implementation says.
pub(crate) struct Written {
    /// The type, as tokens.
    pub(crate) filter: String,
    pub(crate) functions: Vec<String>,
    pub(crate) types: Vec<(String, String)>,
    pub(crate) waits: bool,
}

impl Written {
    pub(crate) fn has(&self, function: &str) -> bool {
        self.functions.iter().any(|known| known == function)
    }

    /// Whether a body is read: the type is there and not `Unread`.
    pub(crate) fn reads(&self, body: &str) -> bool {
        self.types.iter().any(|(name, value)| name == body && !value.ends_with("Unread"))
    }

    /// Whether the filter's own type is what is configured.
    pub(crate) fn is_its_configuration(&self) -> bool {
        let is_own = |value: &str| value == "Self" || value == self.filter;
        self.types.iter().any(|(name, value)| name == "Configuration" && is_own(value))
    }

    pub(crate) fn names(&self, name: &str) -> bool {
        self.types.iter().any(|(known, _)| known == name)
    }
}
