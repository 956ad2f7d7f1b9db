package tencent

import (
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
)

// addressWait is how long a number rests that has had as many messages as the service lets it have. It does not say itself.
const addressWait = time.Hour

// codes are those that the service documents, of calls and of single messages.
var codes = map[string]channel.Error{
	"FailedOperation.PhoneNumberInBlacklist":                    {Class: channel.OptedOut, Code: "blacklist"},
	"InvalidParameterValue.IncorrectPhoneNumber":                {Class: channel.BadAddress, Code: "number"},
	"LimitExceeded.PhoneNumberThirtySecondLimit":                {Class: channel.Throttled, Code: "address_limit", RetryAfter: time.Minute},
	"LimitExceeded.PhoneNumberOneHourLimit":                     {Class: channel.Throttled, Code: "address_limit", RetryAfter: addressWait},
	"LimitExceeded.PhoneNumberDailyLimit":                       {Class: channel.Throttled, Code: "address_limit", RetryAfter: addressWait},
	"LimitExceeded.PhoneNumberSameContentDailyLimit":            {Class: channel.Throttled, Code: "address_limit", RetryAfter: addressWait},
	"LimitExceeded.DeliveryFrequencyLimit":                      {Class: channel.Throttled, Code: "address_limit", RetryAfter: addressWait},
	"LimitExceeded.AppDailyLimit":                               {Class: channel.Throttled, Code: "day_limit", RetryAfter: addressWait},
	"LimitExceeded.DailyLimit":                                  {Class: channel.Throttled, Code: "day_limit", RetryAfter: addressWait},
	"LimitExceeded.PhoneNumberCountLimit":                       {Class: channel.Permanent, Code: "parameters"},
	"FailedOperation.TemplateIncorrectOrUnapproved":             {Class: channel.Permanent, Code: "template"},
	"FailedOperation.TemplateUnapprovedOrNotExist":              {Class: channel.Permanent, Code: "template"},
	"FailedOperation.TemplateParamSetNotMatchApprovedTemplate":  {Class: channel.Permanent, Code: "variables"},
	"InvalidParameterValue.TemplateParameterFormatError":        {Class: channel.Permanent, Code: "variables"},
	"InvalidParameterValue.TemplateParameterLengthLimit":        {Class: channel.Permanent, Code: "variables"},
	"InvalidParameterValue.ProhibitedUseUrlInTemplateParameter": {Class: channel.Permanent, Code: "variables"},
	"InvalidParameterValue.ContentLengthLimit":                  {Class: channel.Permanent, Code: "content"},
	"FailedOperation.ContainSensitiveWord":                      {Class: channel.Permanent, Code: "content"},
	"InvalidParameter.DirtyWordFound":                           {Class: channel.Permanent, Code: "content"},
	"FailedOperation.MarketingSendTimeConstraint":               {Class: channel.Permanent, Code: "content"},
	"FailedOperation.JsonParseFail":                             {Class: channel.Permanent, Code: "parameters"},
	"FailedOperation.FailResolvePacket":                         {Class: channel.Permanent, Code: "parameters"},
	"InternalError.JsonParseFail":                               {Class: channel.Permanent, Code: "parameters"},
	"FailedOperation.SignatureIncorrectOrUnapproved":            {Class: channel.Config, Code: "sign"},
	"FailedOperation.MissingSignature":                          {Class: channel.Config, Code: "sign"},
	"FailedOperation.InsufficientBalanceInSmsPackage":           {Class: channel.Config, Code: "balance"},
	"InvalidParameterValue.SdkAppIdNotExist":                    {Class: channel.Config, Code: "application"},
	"InvalidParameter.AppidAndBizId":                            {Class: channel.Config, Code: "application"},
	"InternalError.RequestTimeException":                        {Class: channel.Config, Code: "clock"},
	"AuthFailure.SignatureExpire":                               {Class: channel.Config, Code: "clock"},
	"InternalError.SigFieldMissing":                             {Class: channel.Config, Code: "signature"},
	"InternalError.SigVerificationFail":                         {Class: channel.Config, Code: "signature"},
	"InternalError.RestApiInterfaceNotExist":                    {Class: channel.Config, Code: "endpoint"},
	"InvalidAction":                                             {Class: channel.Config, Code: "endpoint"},
	"NoSuchVersion":                                             {Class: channel.Config, Code: "endpoint"},
	"ActionOffline":                                             {Class: channel.Config, Code: "endpoint"},
	"IpInBlacklist":                                             {Class: channel.Config, Code: "source_address"},
	"IpNotInWhitelist":                                          {Class: channel.Config, Code: "source_address"},
	"InternalError.Timeout":                                     {Class: channel.Unknown, Code: "internal_timeout"},
	"InternalError.SendAndRecvFail":                             {Class: channel.Unknown, Code: "internal_timeout"},
}

// families say what the codes mean that begin so and are not in the table.
var families = []struct {
	prefix string
	channel.Error
}{
	{"AuthFailure.", channel.Error{Class: channel.Config, Code: "authentication"}},
	{"UnauthorizedOperation", channel.Error{Class: channel.Config, Code: "permission"}},
	{"RequestLimitExceeded", channel.Error{Class: channel.Throttled, Code: "rate"}},
	{"LimitExceeded", channel.Error{Class: channel.Throttled, Code: "limit", RetryAfter: addressWait}},
	{"InvalidParameter", channel.Error{Class: channel.Permanent, Code: "parameters"}},
	{"MissingParameter", channel.Error{Class: channel.Permanent, Code: "parameters"}},
	{"UnsupportedOperation", channel.Error{Class: channel.Permanent, Code: "region"}},
}

// refusal says what a code means. One that stands nowhere, InternalError and OtherError among them, proves nothing.
func refusal(code string) *channel.Error {
	e, ok := codes[code]
	for _, f := range families {
		if !ok && strings.HasPrefix(code, f.prefix) {
			e, ok = f.Error, true
		}
	}
	if !ok {
		e = channel.Error{Class: channel.Unknown, Code: "unlisted"}
	}
	e.Detail = callback.Word(code)
	return &e
}

// receiptCodes are the operators' codes of receipts that say more than that a message failed.
var receiptCodes = map[string]duly.ReceiptStatus{
	"MBBLACK": duly.ReceiptOptedOut, // on the provider's or the operator's list
	"DBBLACK": duly.ReceiptOptedOut,
	"MK:0001": duly.ReceiptBadAddress, // no such subscriber
}

func statusOf(reported, code string) duly.ReceiptStatus {
	if reported == "SUCCESS" {
		return duly.ReceiptDelivered
	}
	if s, ok := receiptCodes[code]; ok {
		return s
	}
	return duly.ReceiptFailed
}
