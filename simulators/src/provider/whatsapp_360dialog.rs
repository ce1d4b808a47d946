//! WhatsApp through 360dialog.

use crate::{
    contract::{About, Credential},
    family::whatsapp::{RETRY, WhatsApp},
};

pub(crate) static WHATSAPP_360DIALOG: WhatsApp = WhatsApp {
    about: About {
        name: "whatsapp_360dialog",
        title: "WhatsApp through 360dialog",
        credentials: &[
            Credential { key: "api_key", default: "sim-360-key", what: "the key, in D360-API-KEY" },
            Credential {
                key: "webhook_header",
                default: "X-Webhook-Secret",
                what: "the header set up with the webhook; empty: none",
            },
            Credential { key: "webhook_secret", default: "sim-webhook-secret", what: "its value" },
            Credential {
                key: "platform_secret",
                default: "",
                what: "makes x-360dialog-signature; empty: none",
            },
            Credential { key: "phone_number_id", default: "100000000000001", what: "in webhooks" },
            Credential {
                key: "business_account_id",
                default: "200000000000001",
                what: "the WABA's id in webhooks",
            },
            Credential { key: "number", default: "15557770000", what: "the business number" },
        ],
        batch_max: 1_000,
        retry: RETRY,
        polls: false,
        customer: "15550001111",
    },
    dialog: true,
};
