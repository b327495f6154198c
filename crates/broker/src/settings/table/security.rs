//! Names of security settings: accepted so that files written for Kafka work. A listener that asks for TLS or SASL is refused.

use super::super::definition::{Definition, Kind::*, broker, unset};

pub(super) const ROWS: &[Definition] = &[
    broker("authorizer.class.name", String, "", "The class that decides who may do what. Ottla has no authorizer yet: everybody may do everything.").low().no_effect(),
    unset("super.users", String, "Users who may do everything.").low().no_effect(),
    unset("allow.everyone.if.no.acl.found", Bool, "Whether what has no ACL is allowed to everybody.").low().no_effect(),
    unset("principal.builder.class", Class, "A class that makes principals.").no_effect(),
    broker("sasl.enabled.mechanisms", List, "GSSAPI", "SASL mechanisms that are offered.").per_broker().no_effect(),
    broker("sasl.mechanism.inter.broker.protocol", String, "GSSAPI", "SASL mechanism between brokers.").per_broker().no_effect(),
    broker("sasl.mechanism.controller.protocol", String, "GSSAPI", "SASL mechanism towards the controller.").no_effect(),
    unset("sasl.jaas.config", Password, "JAAS configuration.").per_broker().no_effect(),
    unset("sasl.server.callback.handler.class", Class, "A class that checks credentials.").no_effect(),
    unset("sasl.kerberos.service.name", String, "Kerberos service name.").per_broker().no_effect(),
    broker("ssl.client.auth", String, "none", "Whether clients show a certificate.").one_of(&["required", "requested", "none"]).per_broker().no_effect(),
    broker("ssl.protocol", String, "TLSv1.3", "TLS protocol.").per_broker().no_effect(),
    broker("ssl.enabled.protocols", List, "TLSv1.2,TLSv1.3", "TLS protocols that are offered.").per_broker().no_effect(),
    broker("ssl.cipher.suites", List, "", "Cipher suites that are offered.").per_broker().no_effect(),
    broker("ssl.endpoint.identification.algorithm", String, "https", "How host names are checked.").per_broker().no_effect(),
    broker("ssl.keystore.type", String, "JKS", "The key store's type.").per_broker().no_effect(),
    unset("ssl.keystore.location", String, "Where the key store is.").per_broker().no_effect(),
    unset("ssl.keystore.password", Password, "The key store's password.").per_broker().no_effect(),
    unset("ssl.keystore.key", Password, "The private key.").per_broker().no_effect(),
    unset("ssl.keystore.certificate.chain", Password, "The certificate chain.").per_broker().no_effect(),
    unset("ssl.key.password", Password, "The private key's password.").per_broker().no_effect(),
    broker("ssl.truststore.type", String, "JKS", "The trust store's type.").per_broker().no_effect(),
    unset("ssl.truststore.location", String, "Where the trust store is.").per_broker().no_effect(),
    unset("ssl.truststore.password", Password, "The trust store's password.").per_broker().no_effect(),
    unset("ssl.truststore.certificates", Password, "Trusted certificates.").per_broker().no_effect(),
    unset("delegation.token.secret.key", Password, "The secret behind delegation tokens.").no_effect(),
    broker("connections.max.reauth.ms", Long, "0", "Milliseconds after which a connection must authenticate again.").no_effect(),
];
