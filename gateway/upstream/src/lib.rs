//! Clusters: endpoints, balancing, pools, connections to sidecars.
