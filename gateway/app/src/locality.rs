//! Where the gateway runs (`--locality`), and how it is labelled.

use std::str::FromStr;
use std::sync::Arc;

use portcullis_model::Locality;
use portcullis_upstream::{AskForUpkeep, ClusterHome, Surroundings};

/// `region/zone/subzone`, the last two of which may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalityArgument(pub Locality);

impl FromStr for LocalityArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').map(str::trim).collect();
        let bad =
            || format!("`{text}` is not REGION/ZONE/SUBZONE, as in eu-central-1/eu-central-1a");
        if parts.len() > 3 || parts.iter().any(|part| part.is_empty() || part.contains('*')) {
            return Err(bad());
        }
        let part = |nth: usize| parts.get(nth).copied().unwrap_or_default().into();
        Ok(LocalityArgument(Locality { region: part(0), zone: part(1), sub_zone: part(2) }))
    }
}

/// `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelArgument(String, String);

impl FromStr for LabelArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(LabelArgument(key.to_owned(), value.to_owned()))
            }
            _ => Err(format!("`{text}` is not KEY=VALUE, as in rack=r7")),
        }
    }
}

impl LabelArgument {
    /// Key and value.
    pub(crate) fn pair(&self) -> (String, String) {
        (self.0.clone(), self.1.clone())
    }
}

/// What clusters are compiled with.
pub(crate) fn home(
    locality: Option<&LocalityArgument>,
    labels: Vec<(String, String)>,
    upkeep: Option<AskForUpkeep>,
) -> ClusterHome {
    let locality = locality.map(|locality| locality.0.clone());
    ClusterHome { here: Arc::new(Surroundings { locality, labels }), upkeep }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locality_is_up_to_three_names() {
        let read = |text: &str| text.parse::<LocalityArgument>().map(|read| read.0.to_string());
        assert_eq!(read("eu/a/1").unwrap(), "eu/a/1");
        assert_eq!(read("eu").unwrap(), "eu");
        for bad in ["", "eu//1", "a/b/c/d", "eu/*"] {
            assert!(read(bad).unwrap_err().contains("REGION"), "{bad}");
        }
    }

    #[test]
    fn a_label_is_a_key_and_a_value() {
        let pair = |text: &str| text.parse::<LabelArgument>().unwrap().pair();
        assert_eq!(pair("rack=r7"), ("rack".to_owned(), "r7".to_owned()));
        assert_eq!(pair("empty=").1, "");
        for bad in ["", "rack", "=r7"] {
            assert!(bad.parse::<LabelArgument>().unwrap_err().contains("KEY=VALUE"), "{bad}");
        }
    }
}
