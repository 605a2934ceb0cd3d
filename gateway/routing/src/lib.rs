//! Model routes to a route table; find_route, and why each rule lost; pure.
