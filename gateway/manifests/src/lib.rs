//! Kubernetes objects to Draft to Model; pure.
