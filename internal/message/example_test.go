package message_test

import (
	"fmt"
	"log"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/message"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/templates"
)

func Example() {
	set, err := message.LoadFS(templates.FS)
	if err != nil {
		log.Fatal(err)
	}
	due := civil.On(2026, time.December, 3)
	v := &message.Values{
		Lender: "示例消金", ServicePhone: "95000", Today: due.Add(-1),
		Items: []duly.Item{{LoanID: "L1", No: 4, DueOn: due, Outstanding: money.New(1234_50, "CNY")}},
	}
	w, err := set.Render("due-tomorrow", "zh-CN", duly.ChannelSMS, v)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(w.Text)
	fmt.Println(w.Segments, w.Encoding)

	v.ServicePhone = "" // where would the borrower get help?
	_, err = set.Render("due-tomorrow", "zh-CN", duly.ChannelSMS, v)
	fmt.Println(err)
	// Output:
	// 【示例消金】您有1笔还款明天（2026年12月3日）到期，共¥1,234.50。如设自动扣款，请留足余额；如有困难，可致电95000。
	// 1 UCS2
	// zh-CN/due-tomorrow.yaml: template due-tomorrow (zh-CN, sms): service_phone has no value (set lender.service_phone in the configuration)
}

func ExampleSegments() {
	fmt.Printf("%+v\n", message.Segments("Your repayment is due tomorrow."))
	c := message.Segments("Your repayment is due tomorrow – thank you.")
	fmt.Println(c.Encoding, c.Units, string(c.Forcing))
	// Output:
	// {Encoding:GSM7 Units:31 Segments:1 Forcing:0}
	// UCS2 43 –
}
