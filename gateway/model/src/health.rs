//! How a cluster finds out which of its endpoints are well: by what becomes of requests (`outlierDetection`), and by
//! asking.

use std::time::Duration;

/// When an endpoint is taken out of rotation for what became of its requests (DestinationRule's `outlierDetection`).
#[derive(Clone, Debug, PartialEq)]
pub struct OutlierDetection {
    /// So many 5xx and failures in a row; 0 is off (5).
    pub consecutive_5xx: u32,
    /// So many 502, 503, 504 and failures in a row; 0 is off.
    pub consecutive_gateway_errors: u32,
    /// Whether failures that the endpoint did not answer itself (refused, reset, timed out) are counted apart.
    pub split_local_failures: bool,
    /// So many of those in a row, where they are counted apart (5).
    pub consecutive_local_failures: u32,
    /// How often ejected endpoints are looked at (10 s).
    pub interval: Duration,
    /// How long the first ejection lasts; the n-th lasts n times as long (30 s).
    pub base_ejection: Duration,
    /// The most that may be out, in percent of the cluster; at least one (10).
    pub max_ejection_percent: u32,
    /// Below so many percent of healthy endpoints, health is ignored (0).
    pub min_health_percent: u32,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        OutlierDetection {
            consecutive_5xx: 5,
            consecutive_gateway_errors: 0,
            split_local_failures: false,
            consecutive_local_failures: 5,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection_percent: 10,
            min_health_percent: 0,
        }
    }
}

/// How endpoints are asked whether they are well.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// How far apart the probes of one endpoint are.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// So many good answers in a row make an endpoint healthy.
    pub healthy_threshold: u32,
    /// So many bad ones make it unhealthy.
    pub unhealthy_threshold: u32,
}

impl HealthCheck {
    /// A connection every five seconds that may take one to come about; three bad ones make an endpoint unhealthy, two
    /// good ones healthy again.
    pub fn tcp() -> Self {
        HealthCheck {
            probe: Probe::Tcp,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            healthy_threshold: 2,
            unhealthy_threshold: 3,
        }
    }
}

/// What an endpoint is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `GET path`; 2xx is good.
    Http {
        /// The path.
        path: Box<str>,
        /// `Host`; the cluster's host where none is written.
        host: Option<Box<str>>,
    },
    /// `grpc.health.v1.Health/Check`; SERVING is good.
    Grpc {
        /// The service asked about, empty for the server.
        service: Box<str>,
    },
    /// A connection that comes about is good.
    Tcp,
}
