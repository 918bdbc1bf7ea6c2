//! Listeners and connections: TLS, authentication, limits and deadlines, shared by doors and forwarders.
