//! What a plugin may touch.

use std::fmt;

/// One thing that a plugin may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// To read and change heads and trailers.
    Headers,
    /// To read and change bodies, and the bytes of a connection.
    Body,
    /// To read and leave properties of the request; without `Headers` none that are of its head.
    Properties,
    /// To call clusters.
    Upstreams,
    /// To share data and queues.
    SharedData,
    /// To be called without a request.
    Ticks,
    /// To have the host compress, hash, sign, verify and choose at random (foreign functions).
    Crypto,
    /// To count and measure.
    Metrics,
    /// To write to the log.
    Log,
}

impl Capability {
    /// Each one, in the order in which they are shown.
    pub const ALL: [Capability; 9] = [
        Capability::Headers,
        Capability::Body,
        Capability::Properties,
        Capability::Upstreams,
        Capability::SharedData,
        Capability::Ticks,
        Capability::Crypto,
        Capability::Metrics,
        Capability::Log,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Capability::Headers => "headers",
            Capability::Body => "body",
            Capability::Properties => "properties",
            Capability::Upstreams => "upstreams",
            Capability::SharedData => "shared-data",
            Capability::Ticks => "ticks",
            Capability::Crypto => "crypto",
            Capability::Metrics => "metrics",
            Capability::Log => "log",
        }
    }

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        Capability::ALL.into_iter().find(|capability| capability.name() == name)
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Which clusters may be called, by any of the names that a call may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CallableUpstreams {
    /// Each one that the configuration names.
    #[default]
    Any,
    /// These alone.
    Named(Vec<String>),
}

/// A set of capabilities.
#[derive(Clone, PartialEq, Eq)]
pub struct Capabilities {
    held: u16,
    upstreams: CallableUpstreams,
}

impl Capabilities {
    /// What a plugin without a manifest gets: all that stays inside the request and the plugin's own state, and calls to
    /// clusters that the configuration names. There is no more.
    pub fn compatible() -> Self {
        Capabilities {
            held: Capability::ALL.into_iter().fold(0, |held, each| held | each.bit()),
            upstreams: CallableUpstreams::Any,
        }
    }

    /// Nothing at all.
    pub fn none() -> Self {
        Capabilities { held: 0, upstreams: CallableUpstreams::Any }
    }

    /// The same and one more.
    #[must_use]
    pub fn with(mut self, capability: Capability) -> Self {
        self.held |= capability.bit();
        self
    }

    /// The same where no other clusters may be called.
    #[must_use]
    pub fn calling(mut self, names: Vec<String>) -> Self {
        self.upstreams = CallableUpstreams::Named(names);
        self
    }

    /// Reads `all`, `compatible`, or names joined by commas, of which `upstreams` may go on `=NAME;NAME`.
    ///
    /// # Errors
    /// The word that is no capability.
    pub fn parse(text: &str) -> Result<Self, String> {
        if matches!(text.trim(), "all" | "compatible") {
            return Ok(Capabilities::compatible());
        }
        let mut read = Capabilities::none();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (name, clusters) = match word.split_once('=') {
                Some((name, clusters)) => (name.trim(), Some(clusters)),
                None => (word, None),
            };
            let capability = Capability::named(name).ok_or_else(|| word.to_owned())?;
            read = read.with(capability);
            if let Some(clusters) = clusters {
                let names: Vec<String> = clusters
                    .split(';')
                    .map(|name| name.trim().to_owned())
                    .filter(|name| !name.is_empty())
                    .collect();
                if capability != Capability::Upstreams || names.is_empty() {
                    return Err(word.to_owned());
                }
                read = read.calling(names);
            }
        }
        Ok(read)
    }

    /// Whether one is in it.
    pub fn has(&self, capability: Capability) -> bool {
        self.held & capability.bit() != 0
    }

    /// Which clusters may be called, where any may.
    pub fn upstreams(&self) -> &CallableUpstreams {
        &self.upstreams
    }

    /// Whether nothing is missing.
    pub fn is_compatible(&self) -> bool {
        *self == Capabilities::compatible()
    }

    /// What both have.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let upstreams = match (&self.upstreams, &other.upstreams) {
            (CallableUpstreams::Any, named) | (named, CallableUpstreams::Any) => named.clone(),
            (CallableUpstreams::Named(ours), CallableUpstreams::Named(theirs)) => {
                let both = ours.iter().filter(|name| theirs.contains(name));
                CallableUpstreams::Named(both.cloned().collect())
            }
        };
        Capabilities { held: self.held & other.held, upstreams }
    }

    /// Those of these that another set lacks, by name; a cluster that is named here and not there is one too.
    pub fn beyond(&self, other: &Self) -> Vec<String> {
        let lacking =
            Capability::ALL.into_iter().filter(|each| self.has(*each) && !other.has(*each));
        let mut beyond: Vec<String> = lacking.map(|each| each.name().to_owned()).collect();
        if let (CallableUpstreams::Named(ours), CallableUpstreams::Named(theirs)) =
            (&self.upstreams, &other.upstreams)
        {
            let foreign = ours.iter().filter(|name| !theirs.contains(name));
            beyond.extend(foreign.map(|name| format!("upstreams={name}")));
        }
        beyond
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lead = "";
        for capability in Capability::ALL.into_iter().filter(|each| self.has(*each)) {
            write!(f, "{lead}{}", capability.name())?;
            if let (Capability::Upstreams, CallableUpstreams::Named(names)) =
                (capability, &self.upstreams)
            {
                write!(f, "={}", names.join(";"))?;
            }
            lead = ",";
        }
        if lead.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capabilities({self})")
    }
}

/// Whether a plugin may go without a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManifestDemand {
    /// It may.
    #[default]
    None,
    /// A Gateway that it covers wants modules to say what they touch.
    Required,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["headers", "headers,body,upstreams=auth;outbound|80||a.b,log", "none"] {
            let read = Capabilities::parse(text);
            if text == "none" {
                assert_eq!(read, Err("none".to_owned()));
                continue;
            }
            let read = read.unwrap();
            assert_eq!(Capabilities::parse(&read.to_string()), Ok(read));
        }
        assert!(Capabilities::parse("all").unwrap().is_compatible());
        assert_eq!(Capabilities::parse("").unwrap().to_string(), "none");
        for wrong in ["header", "headers,clock", "upstreams=", "log=x"] {
            assert!(Capabilities::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sets_narrow_and_say_what_lies_beyond() {
        let read = |text| Capabilities::parse(text).unwrap();
        let (asked, granted) = (read("headers,upstreams=a;b"), read("headers,log,upstreams=b"));
        assert_eq!(asked.and(&granted), read("headers,upstreams=b"));
        assert_eq!(asked.beyond(&granted), ["upstreams=a"]);
        assert_eq!(asked.beyond(&read("log")), ["headers", "upstreams"]);
        assert!(granted.beyond(&Capabilities::compatible()).is_empty());
        assert!(!granted.has(Capability::Crypto) && granted.has(Capability::Log));
    }
}
