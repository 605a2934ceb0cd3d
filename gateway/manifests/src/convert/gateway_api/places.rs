//! Which listeners got their sockets.

use std::collections::{HashMap, HashSet};

use portcullis_model::ObjectId;

use super::super::open::OpenGateway;
use super::parent::Conflict;
use super::parents::Parents;

/// Notes for each listener the index of its Gateway among those that listen. One that lost its socket to another Gateway
/// conflicts with that.
pub(super) fn place(parents: &mut Parents, gateways: &[OpenGateway]) {
    let indexes: HashMap<&ObjectId, usize> = gateways
        .iter()
        .enumerate()
        .map(|(index, open)| (&open.gateway.metadata.id, index))
        .collect();
    let servers: HashSet<(usize, &str)> = gateways
        .iter()
        .enumerate()
        .flat_map(|(index, open)| open.servers.iter().map(move |server| (index, &*server.name)))
        .collect();
    for parent in parents.iter_mut().filter(|parent| parent.refused.is_none()) {
        let Some(index) = indexes.get(&parent.gateway) else { continue };
        for listener in &mut parent.listeners {
            if servers.contains(&(*index, &*listener.server)) {
                listener.place = Some(*index);
            } else if listener.conflict.is_none() && listener.written.protocol.is_some() {
                listener.conflict = Some(Conflict::Protocol);
            }
        }
    }
}
