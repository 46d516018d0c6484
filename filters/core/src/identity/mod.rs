//! Who is calling.

mod config;

pub use config::{
    AuthenticationConfig, MaasHeadersConfig, MaasIntegrationConfig, MaasMetricsConfig,
};
