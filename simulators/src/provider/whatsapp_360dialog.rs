//! The description of WhatsApp over 360dialog; its wire form is in `family/whatsapp`.

use crate::{
    contract::{About, Credential},
    family::whatsapp::{Access, RETRY, WhatsApp},
};

pub(crate) static WHATSAPP_360DIALOG: WhatsApp = WhatsApp {
    about: About {
        name: "whatsapp_360dialog",
        title: "WhatsApp through 360dialog",
        credentials: &[
            Credential {
                key: "api_key",
                default: "sim-360-key",
                purpose: "the key in the header D360-API-KEY",
            },
            Credential {
                key: "webhook_header",
                default: "X-Webhook-Secret",
                purpose: "the name of the webhook's secret header; empty: none",
            },
            Credential {
                key: "webhook_secret",
                default: "sim-webhook-secret",
                purpose: "the value of that header",
            },
            Credential {
                key: "platform_secret",
                default: "",
                purpose: "signs webhooks in x-360dialog-signature; empty: not signed",
            },
            Credential {
                key: "phone_number_id",
                default: "100000000000001",
                purpose: "the number's id in webhooks",
            },
            Credential {
                key: "business_account_id",
                default: "200000000000001",
                purpose: "the WABA's id in webhooks",
            },
            Credential { key: "number", default: "15557770003", purpose: "the business number" },
        ],
        batch_max: 1_000,
        retry: RETRY,
        polls: false,
        customer: "15550001111",
    },
    access: Access::Dialog360,
};
