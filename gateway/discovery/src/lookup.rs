//! Looking a name up: the names that it may stand for, both families of each.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use crate::answer::{Answer, Families};
use crate::ask::{Ask, Asking, Family, LookupFailure, Records};
use crate::search::Search;

/// How much longer than the other a family may take (RFC 8305 calls it the resolution delay, and is less patient:
/// nobody waits for us).
const SECOND_FAMILY: Duration = Duration::from_millis(500);

/// Looks a name up. The first of its candidates that has addresses counts. One that could not be asked ends the
/// search: what stands behind it would be another service by the same short name.
pub(crate) async fn look_up(
    asker: &dyn Ask,
    search: &Search,
    name: &str,
    before: Option<&Answer>,
) -> Result<Answer, LookupFailure> {
    let mut failure = LookupFailure::NoSuchName;
    for candidate in search.candidates(name) {
        match both_families(asker, &candidate).await.join(before) {
            Err(negative) if negative.is_negative() => failure = more_telling(failure, negative),
            decided => return decided,
        }
    }
    Err(failure)
}

fn more_telling(one: LookupFailure, other: LookupFailure) -> LookupFailure {
    if other == LookupFailure::NoSuchName { one } else { other }
}

async fn both_families(asker: &dyn Ask, name: &str) -> Families {
    let (mut v4, mut v6) = (asker.ask(name, Family::V4), asker.ask(name, Family::V6));
    tokio::select! {
        first = &mut v4 => Families { v6: second(v6, &first).await, v4: first },
        first = &mut v6 => Families { v4: second(v4, &first).await, v6: first },
    }
}

/// The other family's reply, which is waited for as long as it takes only where the first brought nothing.
async fn second(
    asking: Asking<'_>,
    first: &Result<Records, LookupFailure>,
) -> Result<Records, LookupFailure> {
    if first.is_err() {
        return asking.await;
    }
    let asking = pin!(asking);
    timeout(SECOND_FAMILY, asking).await.unwrap_or(Err(LookupFailure::Timeout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    fn search() -> Search {
        Search { domains: vec!["svc".to_owned()], ndots: 2 }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_candidate_with_addresses_counts() {
        let asker = Scripted::new();
        asker.say("db.", Family::V4, Ok((5, &["10.0.0.1"])));
        let look_up = async || look_up(&*asker, &search(), "db", None).await;
        assert_eq!(look_up().await.unwrap().addresses[0].to_string(), "10.0.0.1");
        asker.say("db.svc.", Family::V6, Ok((5, &["fd00::1"])));
        assert_eq!(look_up().await.unwrap().addresses[0].to_string(), "fd00::1");
        // Now it cannot be said whether there is one in the cluster.
        asker.say("db.svc.", Family::V4, Err(LookupFailure::Timeout));
        asker.say("db.svc.", Family::V6, Err(LookupFailure::NoSuchName));
        assert_eq!(look_up().await, Err(LookupFailure::Timeout));
    }

    #[tokio::test(start_paused = true)]
    async fn a_family_that_never_answers_delays_the_other_by_half_a_second() {
        let asker = Scripted::new();
        asker.say("db.x.y.", Family::V4, Ok((5, &["10.0.0.1"])));
        asker.silence("db.x.y.", Family::V6);
        let begun = tokio::time::Instant::now();
        let answer = look_up(&*asker, &search(), "db.x.y", None).await.unwrap();
        assert_eq!((answer.addresses.len(), answer.ttl), (1, Duration::ZERO));
        assert_eq!(begun.elapsed(), SECOND_FAMILY);
    }
}
