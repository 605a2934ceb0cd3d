//! Which full names a written name may stand for (resolv.conf's `search` and `ndots`).

/// How written names become full ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    /// Domains that are put behind a name, in this order.
    pub domains: Vec<String>,
    /// A name with so many dots is tried as it is first.
    pub ndots: usize,
}

impl Search {
    /// The full names to try, in order, each with its last dot. A name that has one stands for itself.
    pub(crate) fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let itself = format!("{name}.");
        let joined = |domain: &String| match domain.trim_matches('.') {
            "" => itself.clone(),
            domain => format!("{name}.{domain}."),
        };
        let mut candidates: Vec<String> = self.domains.iter().map(joined).collect();
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let place = if dots >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(place, itself);
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_dots_mean_the_search_domains_first() {
        let domains = vec!["shop.svc.cluster.local.".to_owned(), "cluster.local".to_owned()];
        let search = Search { domains, ndots: 2 };
        let joined = ["db.shop.svc.cluster.local.", "db.cluster.local.", "db."];
        assert_eq!(search.candidates("db"), joined);
        assert_eq!(search.candidates("a.b.c")[0], "a.b.c.");
        assert_eq!(search.candidates("a.b.c").len(), 3);
        assert_eq!(search.candidates("db."), ["db."]);
        assert_eq!(Search::default().candidates("db"), ["db."]);
    }
}
