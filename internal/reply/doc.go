// Package reply says what an inbound text of a borrower means, in Chinese (simplified and traditional) and English: a pure
// function of the words, the day they came and the channel they came by. It uses no model and no network.
//
//	r := reply.Classify(reply.Message{Text: "别再给我打电话了，发短信就行", Channel: duly.ChannelSMS})
//	r.Intent  // opt_out
//	r.Scope   // [calls]
//	r.Auto    // true: acting on it can only make contact less
//
// Two errors are not alike. A refusal that is missed is a contact that must not have been; so a refusal is looked for first, in
// every line, and where words can be read both ways the reading that contacts less is taken. A promise or a question taken
// for a refusal silences someone who wanted to hear; so what only sounds like one ("can't stop by", 不用退订) is taken
// out of the text before refusals are looked for.
//
// What a result asks for, in the order in which intents win over one another:
//
//	intent                   scope                             auto              a person too
//	crisis                   stop_automation, urgent_human     yes               at once
//	opt_out                  the channels refused, or all      yes               where the words are not plain
//	attorney                 all                               yes               yes: note the lawyer
//	wrong_party              address                           yes               yes: verify before reuse
//	dispute                  loan                              yes               yes: answer it
//	third_party_restriction  third_party                       yes               no
//	place_restriction        work, home                        yes               no
//	complaint                human                             no                yes
//	hardship                 human                             no                yes
//	payment_claim            human                             no                yes: never proof that money came
//	promise                  loan, or human                    if day is clear   else yes
//	time_preference          hours, or human                   if hours clear    else yes
//	question                 human                             no                yes
//	unknown                  human                             no                yes
//
// Auto is true only for what makes contact less. A promise pauses the loan until its day, which is less contact: it may be
// recorded without a person where the day is clear, from today on and not more than PromiseDaysMax ahead, and nothing else
// is said that a person must hear. "After payday" names no day: it goes to a person. Hours are an additional limit within
// what the law allows, never a permission; "call me any time" is for a person to read.
//
// The bare words that carriers know (STOP, END, TD, T, R, N, 退订, …) refuse the channel they came by, SMS if none is named;
// with ALL they refuse every channel. An opt_out that comes with a lawyer refuses everything.
//
// Text beyond TextMax characters is cut in the middle, since a refusal stands at the beginning or the end, and a person reads it.
package reply
