//! The description of WhatsApp over Meta's Cloud API; its wire form is in `family/whatsapp`.

use crate::{
    contract::{About, Credential},
    family::whatsapp::{Access, RETRY, WhatsApp},
};

pub(crate) static WHATSAPP_CLOUD: WhatsApp = WhatsApp {
    about: About {
        name: "whatsapp_cloud",
        title: "WhatsApp Cloud API",
        credentials: &[
            Credential { key: "access_token", default: "EAAsimulated", purpose: "the bearer token" },
            Credential {
                key: "phone_number_id",
                default: "100000000000001",
                purpose: "the number's id in the paths of the API",
            },
            Credential {
                key: "business_account_id",
                default: "200000000000001",
                purpose: "the WABA's id in webhooks",
            },
            Credential { key: "app_secret", default: "sim-app-secret", purpose: "signs webhooks" },
            Credential {
                key: "verify_token",
                default: "sim-verify-token",
                purpose: "the secret of the webhook's handshake",
            },
            Credential { key: "number", default: "15557770002", purpose: "the business number" },
        ],
        batch_max: 1_000,
        retry: RETRY,
        polls: false,
        customer: "15550001111",
    },
    access: Access::CloudApi,
};
