//! What the tests of upstream fields share: one service under a policy, and tables of values that are refused.

use std::sync::Arc;

use portcullis_model::Cluster;

use super::{Conversion, REVIEWS, convert, problems};

/// `REVIEWS` under a DestinationRule with this spec, whose first line is the fifth of `d.yaml`.
pub(super) fn under_rule(spec: &str) -> Conversion {
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: reviews, namespace: shop}}\nspec:\n  {spec}\n"
    );
    convert(&[("r.yaml", REVIEWS), ("d.yaml", &text)])
}

/// `REVIEWS` under this `trafficPolicy`, in flow style, on the sixth line of `d.yaml`.
pub(super) fn under(policy: &str) -> Conversion {
    under_rule(&format!("host: reviews.example.com\n  trafficPolicy: {policy}"))
}

/// The cluster of this name.
pub(super) fn cluster(conversion: &Conversion, name: &str) -> Arc<Cluster> {
    let found = conversion.model.clusters.iter().find(|(known, _)| known.to_string() == name);
    found.unwrap_or_else(|| panic!("{:?}", conversion.model.clusters.keys())).1.clone()
}

/// The cluster of `REVIEWS` under a policy that has no problem.
pub(super) fn cluster_under(policy: &str) -> Arc<Cluster> {
    let conversion = under(policy);
    assert_eq!(problems(&conversion), [""; 0], "{policy}");
    cluster(&conversion, "outbound|80||reviews.example.com")
}

/// Each policy has one problem: this one, at this field (below `spec.trafficPolicy`), in its own line.
pub(super) fn each_is_said(table: &[(&str, &str, &str)]) {
    for (policy, said, field) in table {
        let found = problems(&under(policy));
        let separator = if field.is_empty() || field.starts_with('[') { "" } else { "." };
        let object = "DestinationRule/shop/reviews spec.trafficPolicy";
        let wanted = format!("{said} {object}{separator}{field}: ");
        assert!(
            found.len() == 1 && found[0].starts_with("d.yaml:6:") && found[0].contains(&wanted),
            "{policy}: wanted {wanted}, found {found:#?}"
        );
    }
}
