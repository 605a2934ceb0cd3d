//! One case held against what the gateway would do.

use http::HeaderName;
use portcullis_manifests::{CaseRequest, Expectation, RouteCase, Wanted};
use portcullis_model::Origin;
use portcullis_snapshot::{ExplainedCluster, Explanation, RequestToExplain, Snapshot, explain};

/// What came of a case.
pub(crate) struct Verdict<'c> {
    /// The case.
    pub case: &'c RouteCase,
    /// What the gateway would do; `None` where the request is none.
    pub explanation: Option<Explanation>,
    /// What is not as it is expected.
    pub failures: Vec<Failure>,
}

/// Something that is not as expected.
pub(crate) struct Failure {
    /// The field of the expectation.
    pub field: String,
    /// What was expected.
    pub expected: String,
    /// What is.
    pub actual: String,
    /// Where the expectation is written.
    pub origin: Origin,
}

/// Shares may be off by so many percent, as expectations are whole numbers.
const SHARE_TOLERANCE: f64 = 0.5;

/// Judges a case.
pub(crate) fn judge<'c>(snapshot: &Snapshot, case: &'c RouteCase) -> Verdict<'c> {
    let request = match request_of(&case.request) {
        Ok(request) => request,
        Err(error) => {
            let failure = Failure {
                field: "request".to_owned(),
                expected: "a request".to_owned(),
                actual: error,
                origin: case.request.url_origin.clone(),
            };
            return Verdict { case, explanation: None, failures: vec![failure] };
        }
    };
    let explanation = explain(snapshot, &request);
    let failures =
        case.expectations.iter().filter_map(|each| failure(each, &explanation)).collect();
    Verdict { case, explanation: Some(explanation), failures }
}

fn request_of(case: &CaseRequest) -> Result<RequestToExplain, String> {
    let mut request = RequestToExplain::new(&case.method, &case.url)?;
    for (name, value) in &case.headers {
        let refused = || format!("`{name}: {value}` is not a header field");
        request.add_header(name, value).ok_or_else(refused)?;
    }
    request.scheme = case.scheme.unwrap_or(request.scheme);
    request.client = case.client;
    Ok(request)
}

fn failure(expectation: &Expectation, explanation: &Explanation) -> Option<Failure> {
    let (expected, actual) = difference(&expectation.wanted, explanation)?;
    let (field, origin) = (expectation.field.clone(), expectation.origin.clone());
    Some(Failure { field, expected, actual, origin })
}

/// What was expected and what is, where they differ.
fn difference(wanted: &Wanted, found: &Explanation) -> Option<(String, String)> {
    let sent = found.upstream_request.as_ref();
    match wanted {
        Wanted::Outcome(wanted) => differ(wanted, Some(found.outcome)),
        Wanted::Status(wanted) => {
            let status = found.status.map(|status| status.to_string());
            differ(&wanted.to_string(), Some(status.as_deref().unwrap_or("the upstream's")))
        }
        Wanted::Listener(wanted) => differ(wanted, found.listener.as_deref()),
        Wanted::Host(wanted) => differ(wanted, found.host.as_deref()),
        Wanted::Route(wanted) => {
            let (wanted, route) = (wanted.as_deref(), found.route.as_deref());
            (wanted != route).then(|| (or_none(wanted), or_none(route)))
        }
        Wanted::Cluster(wanted) => cluster(wanted, &found.clusters),
        Wanted::Clusters(wanted) => clusters(wanted, &found.clusters),
        Wanted::Method(wanted) => differ(wanted, sent.map(|sent| &*sent.method)),
        Wanted::Authority(wanted) => differ(wanted, sent.map(|sent| &*sent.authority)),
        Wanted::Path(wanted) => differ(wanted, sent.map(|sent| &*sent.path)),
        Wanted::Header(name, wanted) => header(name, wanted.as_deref(), found),
        Wanted::Location(wanted) => differ(wanted, found.location.as_deref()),
        Wanted::Refusal(wanted) => {
            let refusal = found.refusal.as_deref();
            let fits = refusal.is_some_and(|refusal| refusal.starts_with(wanted.as_str()));
            (!fits).then(|| (wanted.clone(), or_none(refusal)))
        }
        Wanted::Plugins(wanted) => differ(&wanted.join(", "), Some(&found.plugins.join(", "))),
        Wanted::Filters(wanted) => differ(&wanted.join(", "), Some(&found.filters.join(", "))),
    }
}

fn differ(wanted: &str, found: Option<&str>) -> Option<(String, String)> {
    (found != Some(wanted)).then(|| (wanted.to_owned(), or_none(found)))
}

fn or_none(text: Option<&str>) -> String {
    match text {
        None | Some("") => "none".to_owned(),
        Some(text) => text.to_owned(),
    }
}

fn cluster(wanted: &str, found: &[ExplainedCluster]) -> Option<(String, String)> {
    let takes_some = |cluster: &&ExplainedCluster| cluster.weight > 0 || found.len() == 1;
    let fits = found.iter().filter(takes_some).any(|cluster| is_called(cluster, wanted));
    (!fits).then(|| (wanted.to_owned(), shares(found)))
}

fn clusters(wanted: &[(String, f64)], found: &[ExplainedCluster]) -> Option<(String, String)> {
    let total = total(found);
    let is_wanted = |cluster: &ExplainedCluster| {
        let named = wanted.iter().find(|(name, _)| is_called(cluster, name));
        match named {
            Some((_, share)) => (percent(cluster, total) - share).abs() <= SHARE_TOLERANCE,
            None => cluster.weight == 0,
        }
    };
    let is_found = |(name, share): &(String, f64)| {
        *share == 0.0 || found.iter().any(|each| is_called(each, name))
    };
    if found.iter().all(is_wanted) && wanted.iter().all(is_found) {
        return None;
    }
    let said = wanted.iter().map(|(name, share)| format!("{name} {share} %"));
    Some((said.collect::<Vec<_>>().join(", "), shares(found)))
}

/// By its whole name, or that of its service.
fn is_called(cluster: &ExplainedCluster, name: &str) -> bool {
    cluster.name == name || cluster.name.rsplit('|').next() == Some(name)
}

fn total(clusters: &[ExplainedCluster]) -> f64 {
    clusters.iter().map(|cluster| f64::from(cluster.weight)).sum()
}

fn percent(cluster: &ExplainedCluster, total: f64) -> f64 {
    if total > 0.0 { f64::from(cluster.weight) * 100.0 / total } else { 100.0 }
}

fn shares(clusters: &[ExplainedCluster]) -> String {
    let total = total(clusters);
    let said = |cluster: &ExplainedCluster| match clusters.len() {
        1 => cluster.name.clone(),
        _ => format!("{} {:.1} %", cluster.name, percent(cluster, total)),
    };
    or_none(Some(&clusters.iter().map(said).collect::<Vec<_>>().join(", ")))
}

/// A field of what the upstream gets; one that comes several times is joined by commas.
fn header(
    name: &HeaderName,
    wanted: Option<&str>,
    found: &Explanation,
) -> Option<(String, String)> {
    let sent = found.upstream_request.as_ref();
    let fields = sent.map(|sent| sent.headers.as_slice()).unwrap_or_default();
    let values: Vec<&str> = fields
        .iter()
        .filter(|(field, _)| field == name.as_str())
        .map(|(_, value)| value.as_str())
        .collect();
    let value = (!values.is_empty()).then(|| values.join(", "));
    (value.as_deref() != wanted).then(|| {
        let said = |value: Option<&str>| {
            value.map_or("not there".to_owned(), |value| format!("`{value}`"))
        };
        (said(wanted), said(value.as_deref()))
    })
}
