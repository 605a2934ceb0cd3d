//! What the metrics port says, and single samples of it.

use portcullis_testkit::Client;

use crate::gateway::Gateway;

/// All of it, as Prometheus gets it.
pub async fn metrics(gateway: &Gateway) -> String {
    let mut client = Client::http1(gateway.side_port("metrics")).await.unwrap();
    client.get("localhost", "/stats/prometheus").await.text().to_owned()
}

/// The value of the only sample with this name and all of these labels.
pub fn sample(text: &str, name: &str, labels: &[&str]) -> f64 {
    find_sample(text, name, labels).unwrap_or_else(|| panic!("no {name} {labels:?} in\n{text}"))
}

/// The same where there may be none.
pub fn find_sample(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let mut samples = text.lines().filter(|line| {
        line.split(['{', ' ']).next() == Some(name)
            && labels.iter().all(|label| line.contains(label))
    });
    let line = samples.next()?;
    assert_eq!(samples.next(), None, "more than one {name} {labels:?} in\n{text}");
    Some(line.rsplit(' ').next().unwrap().parse().unwrap())
}
